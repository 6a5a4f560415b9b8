"""The small process, one for each function, that forks the function's workers."""
