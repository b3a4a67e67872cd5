"""Models made elsewhere: in a process of their own, which sees inputs and never a target.

`RemoteModel` (remote.py) is what is measured; `Child` (child.py) is the process behind it, shut in
by sandbox.py where a format is code; worker.py is what runs there. Importing this is cheap.
"""
