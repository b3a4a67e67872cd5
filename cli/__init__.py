"""The commands of `seqmem`, one file each, and the options that they share."""
