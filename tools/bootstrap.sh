# Sourced by the commands beside it (POSIX sh): finds a Python, makes the
# project's own virtual environment on first use, installs system packages when
# root. The caller sets $repo and then calls use_environment EXTRA.

progress() { echo "$name: $*" >&2; }

die() {
    progress "$*"
    exit 1
}

is_root() { [ "$(id -u)" = 0 ]; }

# The first command of the given ones that is Python 3.11 or newer and can make environments. A distribution's
# own comes first: it is built with profile-guided optimisation, and a fifth faster than one from pyenv.
find_python() {
    case :$PATH: in *:/usr/bin:*) own=/usr/bin/python3 ;; *) own= ;; esac
    for candidate in ${PYTHON:-} $own python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

# install_packages NAME...: Debian packages, without starting the daemons that some of them bring.
install_packages() {
    policy=/usr/sbin/policy-rc.d
    ours=
    if [ ! -e "$policy" ]; then
        ours=1
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    result=0
    log=$(mktemp)
    {
        apt-get update -q &&
            DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
    } </dev/null >"$log" 2>&1 || result=$?
    [ $result = 0 ] || tail -n 20 "$log" >&2
    rm -f "$log"
    [ -z "$ours" ] || rm -f "$policy"
    return $result
}

# use_environment EXTRA: $python becomes the environment's interpreter, with the package and the
# requirements of EXTRA ("" for none) installed. Installed again only when setup.cfg changes; what
# has been installed for the tests will do for everything.
use_environment() {
    extra=$1
    environment=$repo/.venv
    python=$environment/bin/python
    stamp=$environment/installed-${extra:-base}
    for made in "$stamp" "$environment/installed-test"; do
        if [ -x "$python" ] && cmp -s "$repo/setup.cfg" "$made"; then
            return
        fi
    done
    if [ ! -x "$python" ] || ! "$python" -c 'import pip' 2>/dev/null; then
        if ! base=$(find_python); then
            is_root || die "Python 3.11 with its venv module is missing; type: sudo apt install python3-venv"
            command -v apt-get >/dev/null || die "Python 3.11 with its venv module is missing"
            progress "installing python3-venv"
            install_packages python3-venv || die "apt-get install python3-venv failed"
            base=$(find_python) || die "no Python 3.11 or newer with the venv module (PYTHON=/path/to/python3 names one)"
        fi
        [ -w "$repo" ] || die "$repo is not writable for you: the environment goes into $repo/.venv"
        progress "making the virtual environment $environment (once)"
        rm -rf "$environment"
        "$base" -m venv "$environment" || die "$base -m venv failed"
    fi
    [ -w "$environment" ] || die "$environment needs an update, but is not writable for you"
    progress "installing nfsrpc and what it needs${extra:+ (for $extra)}; again only when setup.cfg changes"
    "$python" -m pip install -q --disable-pip-version-check -e "$repo${extra:+[$extra]}" </dev/null >&2 ||
        die "pip could not install the package's requirements (network?)"
    cp "$repo/setup.cfg" "$stamp"
}

# use_compiled EXTRA: $compiled becomes the interpreter of a second environment, which has the package compiled
# (see setup.py), and everything else from the first one. Built again only when the package changes: a minute.
use_compiled() {
    use_environment "$1"
    make_compiled
    # The checkout's own nfsrpc, in the current directory, must not come first.
    export PYTHONSAFEPATH=1
}

make_compiled() {
    compiled=$repo/.venv-compiled/bin/python
    state=$(cd "$repo" && { cat setup.cfg setup.py; find nfsrpc -name '*.py' -o -name '*.c' | LC_ALL=C sort | xargs cat; } | cksum)
    if [ -x "$compiled" ] && [ "$state" = "$(cat "$repo/.venv-compiled/installed" 2>/dev/null)" ]; then
        return
    fi
    progress "compiling the package into $repo/.venv-compiled (a minute; again only when it changes)"
    rm -rf "$repo/.venv-compiled" "$repo/build"
    "$python" -m venv --without-pip "$repo/.venv-compiled" || die "$python -m venv failed"
    "$python" -c 'import site; print(site.getsitepackages()[0])' \
        >"$("$compiled" -c 'import site; print(site.getsitepackages()[0])')/first.pth"
    NFSRPC_COMPILE=1 "$python" -m pip --python "$compiled" install -q --disable-pip-version-check --no-deps "$repo" \
        </dev/null >&2 || die "the package could not be compiled (it needs gcc, libc6-dev and python3-dev)"
    echo "$state" >"$repo/.venv-compiled/installed"
}
