"""The deployment on AWS: the template, what hosts run at boot, and what builds and checks the two."""
