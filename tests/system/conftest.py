from lbkit.testing import listener

__all__ = ["listener"]
