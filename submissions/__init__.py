"""Models made elsewhere, and the suite's own on their way out.

A stranger's model runs in a process of its own, which sees inputs and never a target: `RemoteModel`
(remote.py) is what is measured; `Child` (child.py) is the process behind it, shut in by sandbox.py
where a format is code; worker.py is what runs there. Importing this is cheap.
"""
