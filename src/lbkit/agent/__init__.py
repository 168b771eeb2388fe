"""The agent: one process that runs the checks of layer 4 all day, and keeps IPVS towards site, intents and health."""
