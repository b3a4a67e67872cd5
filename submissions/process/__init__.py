"""A model in a process of its own: `remote.RemoteModel` sends inputs and receives outputs.

launch.py has the command and the sandbox, child.py starts and limits the process, worker.py runs in
it, and protocol.py defines their messages. Targets never leave this process.
"""
