"""`python -m seqmem` is `seqmem`."""

from seqmem.submit import main

main()
