"""The check `https-get`. This file imports nothing: `lbkit-probe` loads it."""
