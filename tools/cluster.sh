#!/usr/bin/env bash
# A small cluster on one Docker engine: a stub API server and three agents, each in a container.
#
# usage: tools/cluster.sh up|down|status
#   up      starts what is missing and replaces the agents by ones of the image as it is now; pods go on
#   down    takes away agents, API server, their pods, network, volume and directory; images stay (tools/image.sh --remove)
#   status  nodes and pods, by kubectl
#
# Every agent is given the engine's socket and a directory of its own, and touches only containers that carry
# its node's name. MINIKUBELET_CLUSTER names the cluster (default mk), MINIKUBELET_IMAGE the image,
# MINIKUBELET_CLUSTER_NET the first three numbers of its network, MINIKUBELET_CLUSTER_DIR its directory on the
# engine's host, MINIKUBELET_CLUSTER_MANIFESTS the folder of static pods, MINIKUBELET_CLUSTER_GRACE how long a node
# may be silent until it is NotReady (40s).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cluster=${MINIKUBELET_CLUSTER:-mk}
image=${MINIKUBELET_IMAGE:-minikubelet:local}
net=${MINIKUBELET_CLUSTER_NET:-10.213.0}
dir=${MINIKUBELET_CLUSTER_DIR:-/var/lib/minikubelet-cluster}/$cluster
manifests=$(realpath "${MINIKUBELET_CLUSTER_MANIFESTS:-deploy/cluster/manifests}")
grace=${MINIKUBELET_CLUSTER_GRACE:-40s}
socket=${DOCKER_HOST:-unix:///var/run/docker.sock}
kubeconfig=build/$cluster/kubeconfig
nodes=("$cluster-a" "$cluster-b" "$cluster-c")
label=minikubelet.dev/cluster=$cluster

say() { echo "cluster: $*" >&2; }
die() { say "$*"; exit 1; }
[ "${socket#unix://}" != "$socket" ] || die "DOCKER_HOST=$socket: agents in containers need the engine's Unix socket"
socket=${socket#unix://}

# What every container here is given: no rights that it has no use for, a root that it cannot write.
run() {
  docker run --detach --label "$label" --network "$cluster" --restart unless-stopped --read-only --tmpfs /tmp \
    --cap-drop ALL --cap-add CHOWN --cap-add DAC_OVERRIDE --cap-add FOWNER --cap-add FSETID --security-opt no-new-privileges "$@" >/dev/null
}

api_server() {
  docker start "$cluster-apiserver" >/dev/null 2>&1 && return 0
  # Its own state, with its keys, is on a volume that no agent is given.
  run --name "$cluster-apiserver" --no-healthcheck --ip "$net.2" --volume "$cluster-state:/state" --volume "$cluster-kube:/kube" \
    --env MINIKUBELET_ROOT_DIR=/state --env MINIKUBELET_NODE_MONITOR_GRACE_PERIOD="$grace" "$image" \
    apiserver --bind-address "$net.2" --secure-port 6443 --write-kubeconfig /kube/kubeconfig
}

# Gone and started again under the same name, in the same directory: its pods do not notice.
agent() {
  local node=$1 address=$2
  docker stop --time 10 "$node" >/dev/null 2>&1 || true
  docker rm --force "$node" >/dev/null 2>&1 || true
  run --name "$node" --ip "$address" --volume "$socket:/var/run/docker.sock" --volume "$dir/$node:$dir/$node" \
    --volume "$cluster-kube:/kube:ro" --volume "$manifests:/etc/kubernetes/manifests:ro" \
    --volume "$PWD/deploy/cluster/kubelet.yaml:/etc/minikubelet/kubelet.yaml:ro" \
    --env MINIKUBELET_ROOT_DIR="$dir/$node" "$image" \
    run --config /etc/minikubelet/kubelet.yaml --kubeconfig /kube/kubeconfig --hostname-override "$node" --node-ip "$address"
  # Pods are on the engine's own bridge: probes reach them from there only.
  docker network connect bridge "$node"
}

wait_for() {
  local what=$1 tick
  shift
  for tick in $(seq 1 240); do
    "$@" >/dev/null 2>&1 && return 0
    sleep 0.5
  done
  die "$what did not come; look at: docker logs $cluster-apiserver, docker logs ${nodes[0]}"
}

up() {
  local number=10 node starting=()
  docker image inspect "$image" >/dev/null 2>&1 || die "there is no image $image; run: make image"
  docker network inspect "$cluster" >/dev/null 2>&1 ||
    docker network create --label "$label" --subnet "$net.0/24" "$cluster" >/dev/null ||
    die "the network $net.0/24 cannot be made; choose another: MINIKUBELET_CLUSTER_NET=10.214.0 $0 up"
  docker volume create --label "$label" "$cluster-state" >/dev/null
  docker volume create --label "$label" "$cluster-kube" >/dev/null
  api_server
  wait_for "the API server" docker exec "$cluster-apiserver" sh -c 'test -s /kube/kubeconfig'
  docker exec "$cluster-apiserver" cp /state/apiserver/ca.crt /kube/ca.crt
  mkdir -p "$(dirname "$kubeconfig")"
  (umask 077 && docker exec "$cluster-apiserver" cat /kube/kubeconfig >"$kubeconfig.new")
  mv "$kubeconfig.new" "$kubeconfig"
  for node in "${nodes[@]}"; do
    number=$((number + 1))
    { agent "$node" "$net.$number" && wait_for "the agent of $node" docker exec "$node" minikubelet healthz; } &
    starting+=($!)
  done
  for node in "${starting[@]}"; do
    wait "$node" || die "an agent cannot be started; the lines above say why"
  done
  docker exec -i "$cluster-apiserver" python3 - /kube/kubeconfig "$image" <tools/cluster-daemonset.py
  say "three nodes are up. Static pods come from $manifests; the pods each-node-… were made in the API,"
  say "one for each node, by the controller of DaemonSets."
  echo "kubectl --kubeconfig $kubeconfig get nodes,pods -A -o wide"
}

down() {
  local node left=
  remove "label=$label"
  for node in "${nodes[@]}"; do
    remove "label=minikubelet.dev/node=$node"
  done
  docker volume rm --force "$cluster-state" "$cluster-kube" >/dev/null
  if docker network inspect "$cluster" >/dev/null 2>&1; then docker network rm "$cluster" >/dev/null; fi
  # The directory is root's, on the engine's host: removed from where it was written.
  if docker image inspect "$image" >/dev/null 2>&1; then
    docker run --rm --network none --volume "$(dirname "$dir"):/cluster" --entrypoint sh "$image" -c "rm -rf '/cluster/$cluster'; true"
    docker run --rm --network none --volume "$(dirname "$(dirname "$dir")"):/parent" --entrypoint sh "$image" \
      -c "rmdir '/parent/$(basename "$(dirname "$dir")")' 2>/dev/null; true"
  else
    left=", but for $dir, which only root may remove: there is no image $image any more to do that with"
  fi
  rm -rf "build/$cluster"
  say "gone: containers, network, volumes and ${left:+what was built}${left:-$dir}"
}

remove() {
  local found
  found=$(docker ps --all --quiet --filter "$1")
  [ -z "$found" ] || xargs docker rm --force --volumes <<<"$found" >/dev/null
}

case "${1:-}" in
  up) up ;;
  down) down ;;
  status) kubectl --kubeconfig "$kubeconfig" get nodes,pods -A -o wide ;;
  *) die "usage: $0 up|down|status" ;;
esac
