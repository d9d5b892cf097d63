# What the scripts for a GPU machine ask before they touch anything; they source this file.

refuse() { # what was found and what was expected
    echo "$(basename "$0"): $1" >&2
    exit 2
}

arguments() { # how many are given, the fewest and the most that are expected (default: any)
    if [ "$1" -lt "$2" ] || [ "$1" -gt "${3:-$1}" ]; then
        sed -n 's/^# \{0,1\}//p' "$0" | sed 1d
        refuse "arguments: $1 given, expected $(sed -n "s/^#  *benchmarks\/$(basename "$0") //p" "$0")"
    fi
}

folder() { # name of the argument, its value, folders that are expected in it; prints the path
    local name=$1 path=$2 one
    shift 2
    [ -d "$path" ] || refuse "$name $path: no such folder, expected one with $*"
    for one; do
        [ -d "$path/$one" ] || refuse "$name $path: expected a folder '$one' in it"
    done
    realpath "$path" || refuse "$name $path: cannot be read, expected a folder with $*"
}

torch_device() { # interpreter; prints cuda or cpu, what torch computes on there
    local told
    told=$("$1" -c 'import torch; print("cuda" if torch.cuda.is_available() else "cpu")' 2>&1) ||
        refuse "PYTHON=$1: ${told##*$'\n'} (exit code $?), expected a Python with torch"
    echo "${told##*$'\n'}" # what stands before are warnings
}

interpreter() { # prints the path of $PYTHON, or of python
    local name=${PYTHON:-python} path
    path=$(command -v "$name") || refuse "PYTHON=$name: no such command, expected a Python with what the package needs"
    realpath --no-symlinks "$path" # a virtual environment's own
}

writable() { # name of the argument, its value; prints the path
    { mkdir -p "$2" && [ -w "$2" ] && realpath "$2"; } 2>/dev/null ||
        refuse "$1 $2: cannot be written to, expected a folder or where there is to be one"
}
