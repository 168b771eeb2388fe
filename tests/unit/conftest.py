from lbkit.testing import listener, throwaway_ca

__all__ = ["listener", "throwaway_ca"]
