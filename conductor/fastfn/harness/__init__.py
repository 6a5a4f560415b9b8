"""Files that run under a script's own interpreter; nothing of Conductor imports them."""
