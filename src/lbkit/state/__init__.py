"""What is to outlive a process, a reload and a restart, and the words for what is. This file imports nothing.

intents     what operators asked for, and the store of it     who    who asks
observed    what an engine has in force
"""
