"""The check `c-echo`. This file imports nothing: `lbkit-probe` loads it."""
