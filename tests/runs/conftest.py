"""Tests of Ray are left out where it is not installed: its modules cannot be imported then."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("ray") else ["test_ray.py"]
