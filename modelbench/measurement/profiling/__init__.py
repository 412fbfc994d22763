"""Where the time of a call goes: by module, by operator, in a step of training."""
