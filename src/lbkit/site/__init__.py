"""The site: one deployment, written down in one TOML file. This file imports nothing.

model      Site, Vip, RealServer and the rest: what a site file says      load      from a file to a Site, or to findings
services   VIPs, their real servers, persistence, checks                  rules     what no single field can say by itself
places     from key paths to line numbers                                 findings  one finding, with its place
found      which file is meant                                            schema    the JSON Schema for editors
"""
