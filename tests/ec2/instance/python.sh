#!/bin/sh
# Python 3.11 as it is on the image, with the packages that the program needs.
exec VENV "$@"
