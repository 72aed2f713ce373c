"""The deployment on AWS: the template, the hosts' boot scripts and services, and the programs that build them."""
