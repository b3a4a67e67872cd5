"""A model in a process of its own: `remote.RemoteModel` sends inputs and receives outputs.

child.py starts and limits the process, worker.py runs in it, protocol.py defines their messages,
and sandbox.py isolates code. Targets never leave this process.
"""
