#!/bin/sh
# Replacement of the image's Python 3.11, with the packages that the program needs.
exec VENV "$@"
