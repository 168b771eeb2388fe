"""SNMP (guide 12.1), all through Net-SNMP: snmpd answers managers, and asks lbkit for what is lbkit's.

oids            where things stand in LBKIT-MIB            tree         the agent's state as objects of that MIB
pass_persist    snmpd's conversation with lbkit            looking      the tree, never older than two seconds
keys            communities and passphrases                render       snmpd.conf
programs        Net-SNMP's commands, without a secret on a command line
process         snmpd itself                               asking       whether it answers as the site wants
traps           events as notifications

This file imports nothing.
"""
