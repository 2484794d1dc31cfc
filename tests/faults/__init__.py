"""Faults at every system call: each call that an act of the store makes fails once, and once the process dies at it.

The act runs in a process of its own. strace first lists the calls on the store's files, then injects into one of
them after the other: EIO, as a disk that is failing gives it, or SIGKILL, as if the machine had stopped there.
What is left is opened again and checked in full.
"""
