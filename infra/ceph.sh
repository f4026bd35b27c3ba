#!/usr/bin/env bash
# A Ceph object gateway on this machine, in one folder, to run `headgate store check` against a real server.
#
#   infra/ceph.sh FOLDER PORT COMMAND...    start mon, osd and gateway, run the command, stop all three
#
# Needs `apt-get install radosgw ceph-mon ceph-osd`. The command finds AWS_ENDPOINT_URL_S3 and credentials in its
# environment. One of everything, in memory, without authentication between the daemons: a bench, never a store.
set -euo pipefail
folder=$(mkdir -p "$1" && realpath "$1") port=$2
shift 2
conf=$folder/ceph.conf fsid=$(cat /proc/sys/kernel/random/uuid)

# Without cephx, clients of the monitors must be told not to encrypt; an osd binds eight ports at once.
cat > "$conf" <<EOF
[global]
fsid = $fsid
mon host = [v2:127.0.0.1:$((port + 1)),v1:127.0.0.1:$((port + 2))]
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
ms bind port min = $((port + 10))
ms bind port max = $((port + 40))
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = $folder/keyring
run dir = $folder
log file = $folder/\$name.log
admin socket = $folder/\$name.asok
pid file =
osd pool default size = 1
osd pool default min size = 1
osd pool default pg autoscale mode = off
osd pool default pg num = 8
osd crush chooseleaf type = 0
mon allow pool size one = true
osd objectstore = memstore
memstore device bytes = 2147483648
osd data = $folder/osd
mon data = $folder/mon
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:$port
rgw thread pool size = 32
EOF

ceph() { command ceph --conf "$conf" --connect-timeout 20 "$@"; }
admin() { radosgw-admin --conf "$conf" --name client.rgw "$@"; }
daemons=()
trap 'kill "${daemons[@]}" 2>/dev/null; wait 2>/dev/null || true' EXIT

ceph-authtool --create-keyring "$folder/keyring" --gen-key -n mon. --cap mon 'allow *' > "$folder/log"
ceph-authtool "$folder/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' >> "$folder/log"
ceph-authtool "$folder/keyring" --gen-key -n client.rgw --cap mon 'allow *' --cap osd 'allow *' >> "$folder/log"
monmaptool --create --clobber --fsid "$fsid" --addv a "[v2:127.0.0.1:$((port + 1)),v1:127.0.0.1:$((port + 2))]" \
  "$folder/monmap" >> "$folder/log"
mkdir -p "$folder/mon" "$folder/osd"
ceph-mon --conf "$conf" -i a --mkfs --monmap "$folder/monmap" --keyring "$folder/keyring" >> "$folder/log" 2>&1
ceph-mon --conf "$conf" -i a -f >> "$folder/log" 2>&1 & daemons+=($!)
osd=$(ceph osd new "$fsid")
ceph-osd --conf "$conf" -i "$osd" --mkfs --osd-uuid "$fsid" >> "$folder/log" 2>&1
ceph osd crush add "osd.$osd" 1 root=default host=bench >> "$folder/log" 2>&1
ceph-osd --conf "$conf" -i "$osd" -f >> "$folder/log" 2>&1 & daemons+=($!)
ceph auth import -i "$folder/keyring" >> "$folder/log" 2>&1
radosgw --conf "$conf" --name client.rgw -f >> "$folder/log" 2>&1 & daemons+=($!)
for _ in $(seq 60); do curl -fs "http://127.0.0.1:$port" > "$folder/answer" && break || sleep 1; done
admin user create --uid bench --display-name bench --access-key bench --secret-key bench-secret >> "$folder/log" 2>&1

export AWS_ENDPOINT_URL_S3=http://127.0.0.1:$port AWS_DEFAULT_REGION=us-east-1
export AWS_ACCESS_KEY_ID=bench AWS_SECRET_ACCESS_KEY=bench-secret
"$@"
