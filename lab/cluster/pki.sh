# Who trusts whom: the CAs, certificates and kubeconfigs of the cluster.
# Sourced by cluster.sh.

P=$STATE/pki
# ca NAME
ca() {
  openssl ecparam -name prime256v1 -genkey -noout -out "$P/$1.key"
  openssl req -x509 -new -key "$P/$1.key" -subj "/CN=$1" -days 3650 -out "$P/$1.crt" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}
# cert NAME CA SUBJECT [SANS]
cert() {
  local san=""; [ -z "${4:-}" ] || san="subjectAltName=$4"
  openssl ecparam -name prime256v1 -genkey -noout -out "$P/$1.key"
  openssl req -new -key "$P/$1.key" -subj "$3" |
    openssl x509 -req -CA "$P/$2.crt" -CAkey "$P/$2.key" -CAcreateserial -days 3650 -out "$P/$1.crt" \
      -extfile <(printf '%s\n' basicConstraints=CA:FALSE keyUsage=digitalSignature,keyEncipherment \
                   extendedKeyUsage=serverAuth,clientAuth $san) 2>/dev/null
}
# kubeconfig_for NAME CERT SERVER
kubeconfig_for() {
  cat >"$STATE/$1.kubeconfig" <<E
apiVersion: v1
kind: Config
clusters: [{name: $NAME, cluster: {server: "$3", certificate-authority-data: $(base64 -w0 <"$P/ca.crt")}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 <"$P/$2.crt"), client-key-data: $(base64 -w0 <"$P/$2.key")}}]
contexts: [{name: $NAME, context: {cluster: $NAME, user: $1}}]
current-context: $NAME
E
  chmod 600 "$STATE/$1.kubeconfig"
}
pki() {
  mkdir -p "$P"; chmod 700 "$P"
  ca ca; ca front-proxy-ca; ca etcd-ca
  cert etcd etcd-ca /CN=etcd IP:127.0.0.1
  cert etcd-client etcd-ca /CN=kube-apiserver
  cert apiserver ca /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:localhost,IP:127.0.0.1,IP:$SVC_API,IP:$NODE_IP"
  cert apiserver-kubelet-client ca /O=system:masters/CN=kube-apiserver-kubelet-client
  cert front-proxy-client front-proxy-ca /CN=front-proxy-client
  cert controller-manager ca /CN=system:kube-controller-manager
  cert scheduler ca /CN=system:kube-scheduler
  cert kube-proxy ca /CN=system:kube-proxy
  cert kubelet ca "/O=system:nodes/CN=system:node:$NODE" "DNS:$NODE,IP:$NODE_IP,IP:127.0.0.1"
  cert admin ca /O=system:masters/CN=kubernetes-admin
  openssl ecparam -name prime256v1 -genkey -noout -out "$P/sa.key"
  openssl ec -in "$P/sa.key" -pubout -out "$P/sa.pub" 2>/dev/null
  local u s=https://$NODE_IP:6443
  for u in controller-manager scheduler kube-proxy kubelet; do kubeconfig_for $u $u $s; done
  kubeconfig_for internal admin $s                       # for use inside the namespace
  kubeconfig_for admin admin "https://127.0.0.1:$PORT"   # for use on the host
}
