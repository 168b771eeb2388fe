"""HAProxy, the engine of layer 7: its configuration, its runtime API, its master process and its statistics page."""
