"""Networks written as in other projects and papers, each with weights from a fixed seed."""
