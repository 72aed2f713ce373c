"""A round and its side effects: launches, fencing and terminations, each recorded before it is carried out."""
