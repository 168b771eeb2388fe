"""The check `mtls`. This file imports nothing: `lbkit-probe` loads it."""
