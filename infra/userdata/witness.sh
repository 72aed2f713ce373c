# shellcheck shell=bash
# shellcheck disable=SC2154  # `instance_id` and `work` are set by common.sh, the settings by the launch template
# Boots the witness, once, as root: one Redis server that holds no jobs and votes in failovers. At the end it signals
# success or failure to CloudFormation. The reason for a failure is in the instance's console output.
#
# The launch template puts common.sh in front of this text, and before that these settings; none is a secret:
#   CLUSTER_NAME GROUP BUNDLE RUNTIMES LOG_GROUP CA_CERTIFICATE STORES ADDRESS INTERFACE DISK STORE_TLS_SECRET
#   AWS_DEFAULT_REGION, exported; all as in manager.sh

# shellcheck disable=SC2034  # common.sh uses it
ROLE=witness
trap give_up_host EXIT
unpack_bundle

# shellcheck source=infra/host/boot.sh
. /opt/workmanager/infra/host/boot.sh

install_units
install_packages
echo "$CA_CERTIFICATE" >/etc/workmanager/ca.pem
take_identity
configure_stores
cat >/etc/workmanager/host.env <<SETTINGS
CLUSTER_NAME=$CLUSTER_NAME
LOG_GROUP=$LOG_GROUP
LOG_STREAM=witness/$instance_id
AWS_DEFAULT_REGION=$AWS_DEFAULT_REGION
SETTINGS
start workmanager-logs.service
rm -rf "$work"
trap - EXIT
say ready
signal SUCCESS
