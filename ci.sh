#!/usr/bin/env bash
# Everything that has to hold before a change is taken, in one command:
#
#   ./ci.sh               all steps, in this order
#   ./ci.sh lint clients  these steps only
#
#   fmt      the formatting is rustfmt's
#   lint     clippy has nothing to say, in every feature set
#   test     the tests of all crates, in every feature set
#   doc      the documentation builds without a warning
#   no_std   the engine builds for bare metal, riscv32imac-unknown-none-elf
#   clients  curl, openssl, GnuTLS, Python and Chromium against the examples: tests/clients
#   hostile  bad clients against the testbed, with good ones beside them: tests/hostile, short form
#   fuzz     ten seconds of every target in fuzz
#   counts   a request costs no more instructions, allocations and system calls than it did: bench
#
# A step takes one line; one that fails shows its whole output. All output stays in target/ci.
# What a step needs beyond Rust and isn't there comes from Debian's packages, if run as root;
# otherwise you are told what to install.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1

readonly all_steps=(fmt lint test doc no_std clients hostile fuzz counts)
readonly bare_metal=riscv32imac-unknown-none-elf
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/ci" || exit 1
target=$(cd "$target" && pwd)
readonly target logs=$target/ci venv=$target/ci/venv tools=$target/ci/tools

locked=()
if [[ -n ${CI:-} ]]; then
    # The lock file is part of a change: CI must not repair it silently.
    locked=(--locked)
    # What only a second build or a debugger would read is more than half of what a build writes.
    export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=line-tables-only
fi

main() {
    local steps=("$@") step
    (($#)) || steps=("${all_steps[@]}")
    for step in "${steps[@]}"; do
        [[ " ${all_steps[*]} " == *" $step "* ]] || usage "there is no step '$step'"
    done
    command -v cargo >/dev/null || usage "cargo is missing: install Rust from https://rustup.rs"

    passed=0 failed=0 ignored=0
    set_up "${steps[@]}"
    for step in "${steps[@]}"; do
        run "$step" # not as a condition: bash would ignore `set -e` in all that it calls
    done
    local total="$passed passed, $failed failed"
    ((ignored == 0)) || total+=", $ignored ignored"
    echo "total: $total in $(duration "$SECONDS")"
    ((failed == 0))
}

usage() {
    echo "ci.sh: $1" >&2
    echo "usage: ./ci.sh [${all_steps[*]}]" >&2
    exit 2
}

# --- the steps: each runs in a subshell that ends with the first command that fails ---

step_fmt() {
    cargo fmt --all --check
    # A workspace of its own.
    cargo fmt --manifest-path fuzz/Cargo.toml --check
}

step_lint() {
    lint --workspace --all-targets
    # The feature sets that the workspace as a whole never builds.
    lint --package esp-event --all-targets --no-default-features
    lint --package esp-http-server --all-targets --no-default-features
    lint --package esp-http-server --all-targets --no-default-features --features deflate
    lint --package esp-tls --all-targets --no-default-features --features std,ring
    lint --package esp-tls --all-targets --no-default-features --features std,rustcrypto
    lint --package esp-tls --no-default-features --features rustcrypto
    lint --package esp-tls --all-targets --features pkcs11
}

lint() {
    cargo clippy "${locked[@]}" "$@" -- --deny warnings
}

step_test() {
    local status=0
    tests --workspace || status=1
    tests --package esp-event --no-default-features || status=1
    tests --package esp-http-server --no-default-features || status=1
    tests --package esp-tls --no-default-features --features std,ring || status=1
    tests --package esp-tls --no-default-features --features std,rustcrypto || status=1
    tests --package esp-tls --features pkcs11 --lib --test pkcs11 || status=1
    return "$status"
}

tests() {
    # A test that hangs is a failure that should show its output, too.
    timeout --kill-after=10s 10m cargo test "${locked[@]}" --no-fail-fast "$@"
}

step_doc() {
    RUSTDOCFLAGS="--deny warnings" cargo doc "${locked[@]}" --workspace --no-deps \
        --features esp-tls/pkcs11
}

step_no_std() {
    build_bare --package esp-event --no-default-features
    build_bare --package esp-http-server --no-default-features
    build_bare --package esp-http-server --no-default-features --features deflate
    build_bare --package esp-tls --no-default-features --features rustcrypto
    build_bare --package esp-https-server --no-default-features --features rustcrypto
}

# Builds for bare metal with the toolchain in use if it has the target, otherwise with Debian's
# compiler, which builds core and alloc from Debian's copy of their sources.
build_bare() {
    local build=(build "${locked[@]}" --target "$bare_metal" --target-dir "$target/no_std" "$@")
    if has_target; then
        cargo "${build[@]}"
    else
        PATH=/usr/bin:$PATH RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 /usr/bin/cargo "${build[@]}" \
            -Z build-std=core,alloc,compiler_builtins \
            -Z build-std-features=compiler-builtins-mem
    fi
}

has_target() {
    [[ -d $(rustc --print target-libdir --target "$bare_metal" 2>/dev/null) ]]
}

has_debian_rust() {
    [[ -x /usr/bin/cargo && -x /usr/bin/rustc ]] &&
        [[ -e $(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock ]]
}

step_clients() {
    build_programs
    make_venv
    RELEASE_DIR=$target/quick timeout --kill-after=10s 10m "$venv/bin/python" tests/clients
}

# What clients are set upon, optimised, but without the time that the last few per cent take.
build_programs() {
    cargo build "${locked[@]}" --profile quick --workspace --bins --examples
}

step_counts() {
    # A workspace of its own. What counts is the testbed, which it builds in release mode; for the
    # harness it can do with what the other steps have built of the same crates.
    local bench=(--manifest-path bench/Cargo.toml)
    export CARGO_TARGET_DIR=$target
    cargo fmt "${bench[@]}" --all --check
    cargo clippy "${locked[@]}" "${bench[@]}" --all-targets -- --deny warnings
    timeout --kill-after=10s 10m cargo test "${locked[@]}" "${bench[@]}"
    timeout --kill-after=10s 10m cargo run "${locked[@]}" "${bench[@]}" -- counts
}

# Python packages go to a private environment, made anew when the list of them changes.
make_venv() {
    local wanted=tests/clients/requirements.txt
    if ! cmp --silent "$wanted" "$venv/installed.txt"; then
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet --requirement "$wanted"
        cp "$wanted" "$venv/installed.txt"
    fi
}

step_hostile() {
    build_programs
    timeout --kill-after=10s 10m "$target/quick/hostile"
}

# Ten seconds of each target, two at a time: enough to see that it builds and that nothing obvious has
# broken. Without AddressSanitizer, since the code has no use of unsafe.
step_fuzz() {
    make_cargo_fuzz
    cargo metadata "${locked[@]}" --manifest-path fuzz/Cargo.toml --format-version 1 >/dev/null
    # What cargo-fuzz asks of the compiler is unstable, and has been so for years.
    RUSTC_BOOTSTRAP=1 "$tools/bin/cargo-fuzz" build --fuzz-dir fuzz --sanitizer none \
        --target-dir "$target/fuzz"
    local target_name
    for target_name in fuzz/fuzz_targets/*.rs; do
        basename "$target_name" .rs
    done | xargs --max-procs=2 --replace=NAME bash -c "$(declare -f fuzz); fuzz NAME '$target/fuzz'"
}

fuzz() {
    local name=$1 folder=$2 log=$2/$1.log
    mkdir -p "$folder/corpus/$name"
    if "$folder"/*/release/"$name" -max_total_time=10 -timeout=10 -artifact_prefix="$folder/$name-" \
        "$folder/corpus/$name" "fuzz/seeds/$name" >"$log" 2>&1; then
        echo "$name: $(grep '^Done ' "$log")"
        echo "test result: ok. 1 passed; 0 failed; 0 ignored"
    else
        cat "$log"
        echo "test result: FAILED. 0 passed; 1 failed; 0 ignored"
        return 1
    fi
}

# cargo-fuzz is installed for this tree alone.
make_cargo_fuzz() {
    [[ -x $tools/bin/cargo-fuzz ]] ||
        cargo install --quiet --locked --root "$tools" --target-dir "$target/tools" cargo-fuzz
}

# --- what the steps need ---

# Installs the Debian packages that the given steps need and that aren't there.
set_up() {
    local step missing=()
    for step in "$@"; do
        case $step in
        lint | doc)
            need "gcc libc6-dev" command -v cc
            ;;
        test)
            need "gcc libc6-dev" command -v cc
            # A PKCS #11 token for esp-tls.
            need softhsm2 test -e /usr/lib/softhsm/libsofthsm2.so
            ;;
        hostile)
            need "gcc libc6-dev" command -v cc
            ;;
        fuzz)
            need "g++ libc6-dev" command -v c++
            ;;
        no_std)
            has_target || need "rustc-web cargo-web rust-web-src" has_debian_rust
            ;;
        clients)
            need "gcc libc6-dev" command -v cc
            need curl command -v curl
            need openssl command -v openssl
            need gnutls-bin command -v gnutls-cli
            need chromium command -v chromium
            need libnss3-tools command -v certutil
            need "python3 python3-venv" python3 -c \
                "import ensurepip, sys, venv; assert sys.version_info >= (3, 11)"
            ;;
        counts)
            need "gcc libc6-dev" command -v cc
            need valgrind command -v valgrind
            need strace command -v strace
            ;;
        esac
    done
    ((${#missing[@]})) || return 0

    local packages
    read -ra packages <<<"$(printf '%s\n' "${missing[@]}" | sort --unique | tr '\n' ' ')"
    if ! command -v apt-get >/dev/null; then
        echo "missing: what Debian has as ${packages[*]}"
    elif ((EUID != 0)); then
        echo "missing, and only root can install it:"
        echo "  apt-get install --no-install-recommends ${packages[*]}"
    else
        echo "installing from Debian's packages: ${packages[*]}"
        install "${packages[@]}" >"$logs/setup.log" 2>&1 </dev/null || cat "$logs/setup.log"
    fi
    # Go on in any case: the steps that lack something fail and say so, the others count.
}

# need WANTED PROBE...: the packages WANTED are missing unless the command PROBE succeeds.
need() {
    local wanted=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$wanted")
}

install() {
    local apt=(apt-get --option DPkg::Lock::Timeout=300 --option Acquire::Retries=3)
    export DEBIAN_FRONTEND=noninteractive
    "${apt[@]}" update && "${apt[@]}" install --yes --no-install-recommends "$@"
}

# --- running and reporting ---

# Runs one step, says how it went in one line, and adds to the totals.
run() {
    local step=$1 start=$SECONDS log=$logs/$1.log status
    printf '%-8s ' "$step"
    (
        set -e
        "step_$step"
    ) >"$log" 2>&1 </dev/null
    status=$?

    local counts
    read -ra counts <<<"$(count "$log")"
    # A step without tests is one itself, and so is one that failed for another reason.
    if ((counts[0] + counts[1] == 0 || (status != 0 && counts[1] == 0))); then
        ((status)) && counts[1]=1 || counts[0]=1
    fi
    passed=$((passed + counts[0])) failed=$((failed + counts[1])) ignored=$((ignored + counts[2]))

    local verdict=ok
    ((status)) && verdict=FAILED
    printf '%-6s %10s  %4d passed, %d failed\n' \
        "$verdict" "$(duration $((SECONDS - start)))" "${counts[0]}" "${counts[1]}"
    ((status == 0)) && return 0
    echo "----- output of $step, also in $log"
    cat "$log"
    echo "----- end of the output of $step"
}

# Passed, failed and ignored tests, from the lines that test programs end with.
count() {
    awk '/^test result: / { passed += $4; failed += $6; ignored += $8 }
         END { print passed + 0, failed + 0, ignored + 0 }' "$1"
}

duration() {
    if (($1 < 60)); then echo "$1 s"; else echo "$(($1 / 60)) min $(($1 % 60)) s"; fi
}

main "$@"
