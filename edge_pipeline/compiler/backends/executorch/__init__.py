"""`.pte` files for ExecuTorch with the delegates XNNPACK, Core ML and Vulkan."""

__all__: list[str] = []
