# In the guest: rpc.gssd, and mounts with sec=krb5, krb5i and krb5p, used by root (the keytab) and by alice (her ticket).
# kerberos.sh PORT PROTOCOL DIRECTORY: krb5.conf, keytab and alice.cc are in DIRECTORY. Prints what works, line by line.
port=$1 proto=$2 realm=$3
exec 2>&1
printf '10.0.2.15 kernel-client\n10.0.2.2 localhost\n' >>/etc/hosts
cp "$realm/keytab" /etc/krb5.keytab
cp "$realm/alice.cc" /tmp/krb5cc_1000
chown 1000:100 /tmp/krb5cc_1000
install -m 644 "$realm/krb5.conf" /etc/krb5.conf
mkdir -p /run/rpc_pipefs
mount -t rpc_pipefs rpc_pipefs /run/rpc_pipefs
rpc.gssd -f >/run/gssd.log 2>&1 &
gssd=$!
until ls -l /proc/$gssd/fd 2>/dev/null | grep -q rpc_pipefs/gssd/; do sleep 0.05; done

as() { # as UID COMMAND
    setpriv --reuid="$1" --regid=100 --clear-groups sh -c "$2"
}

for sec in krb5 krb5i krb5p; do
    mount -i -t nfs localhost:/export /run/nfs \
        -o "vers=2,proto=$proto,addr=10.0.2.2,port=$port,mountaddr=10.0.2.2,mountport=$port,mountproto=$proto,nolock,noac,sec=$sec" ||
        { cat /run/gssd.log; exit 1; }
    cd /run/nfs
    chmod 1777 .
    head -c 100000 /dev/urandom >/dev/shm/data
    cp /dev/shm/data roots
    as 1000 'cp /dev/shm/data hers && mv hers hers2 && ln -s hers2 link'
    echo 3 >/proc/sys/vm/drop_caches
    as 1000 'cmp link /dev/shm/data' && cmp roots /dev/shm/data && stat -c "$sec %n %u %g %s" hers2 roots
    as 1001 'cat hers2' >/dev/null 2>&1 && echo "$sec a user without a ticket can read"
    as 1000 'rm -f roots' 2>/dev/null && echo "$sec alice can remove what is root's"
    [ $sec != krb5p ] || echo restart
    as 1000 'echo more >>hers2' && stat -c "$sec %n %s" hers2
    rm hers2 roots link
    cd /
    umount /run/nfs
done
