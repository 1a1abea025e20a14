"""Networks as other people write them, each with weights from a fixed seed."""
