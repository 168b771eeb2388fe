"""Identities: certificates, keys and revocation lists in files. This file imports nothing: `lbkit-probe` loads it.

identity      a certificate with its chain and key, from PEM or PFX     family    CAs with their revocation lists
certificate   one certificate, read                                     pem       PEM files, block by block
files         bounded reading; passwords                                watched   read again when a file changes
"""
