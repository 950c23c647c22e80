#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes a fresh Debian 12 ready for the lab: the packages of the Makefile, the build, the kernel's modules.
set -eu
cd "${1:-/treaty}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends make
make deps
make -j"$(nproc)" all
for m in tun veth ifb sch_htb sch_ingress sch_netem cls_bpf cls_matchall act_mirred; do
	modprobe "$m" || echo "provision: this kernel has no module $m"
done
vagrant/lab up
vagrant/lab exec lan ping -c 3 fd10:2::2
vagrant/lab exec lan ping -c 3 10.2.0.2
vagrant/lab down
echo "provision: ready; try: sudo vagrant/lab up && sudo vagrant/lab shell lan"
