"""From rendered files to an engine that runs with them, or with what it had before. This file imports nothing.

files         what is to be installed; staging it elsewhere, for the engine's own checker
difference    what would change on this machine            ritual         check, write, activate, verify, roll back
manifest      what lbkit installed the last time           replacement    one file's step there, and back
own_command   where the command lbkit is
"""
