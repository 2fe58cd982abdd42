package main

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	operator  = "usr/local/bin/whatsapp-operator"
	documents = "usr/share/doc/whatsapp-operator"
	// Where the operator looks for authorities, and what the chart's caBundle is trusted beside.
	authorities = "etc/ssl/certs/ca-certificates.crt"
)

type file struct {
	mode int64
	data []byte
}

func (file) folder() file { return file{mode: 0o755} }

// Names for the user, and host names from /etc/hosts before those of DNS, as Kubernetes expects it.
var texts = map[string]string{
	"etc/passwd":        "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:" + user + ":" + user + ":nonroot:/:/sbin/nologin\n",
	"etc/group":         "root:x:0:\nnonroot:x:" + user + ":\n",
	"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}

// A package of Debian's or Ubuntu's that files were taken from.
type systemPackage struct {
	name, version, arch string
}

// All files of the image but the list of what is in it, and the packages that some are from.
func (in *given) root() (map[string]file, []systemPackage, error) {
	root := map[string]file{}
	for name, text := range texts {
		root[name] = file{0o644, []byte(text)}
	}
	rust := filepath.Join(in.sysroot, "share/doc/rust/COPYRIGHT-library.html")
	if _, err := os.Stat(rust); err != nil {
		return nil, nil, fmt.Errorf("%w: this Rust came without the licences of its library; install Rust with rustup, then build again", err)
	}
	pems, err := certificates()
	if err != nil {
		return nil, nil, err
	}
	root[authorities] = file{0o644, pems}

	taken := map[string]string{
		operator:                    in.binary,
		documents + "/LICENSE":      in.licence,
		documents + "/NOTICE.rust":  rust,
		documents + "/NOTICE.roots": "/usr/share/common-licenses/MPL-2.0",
		"etc/os-release":            "/etc/os-release",
	}
	libraries, err := libraries(in.binary)
	if err != nil {
		return nil, nil, err
	}
	packages := map[string]systemPackage{}
	for _, library := range libraries {
		taken[strings.TrimPrefix(library, "/")] = library
		found, err := packageOf(library)
		if err != nil {
			return nil, nil, err
		}
		packages[found.name] = found
	}
	var list []systemPackage
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		found := packages[name]
		list = append(list, found)
		copyright := "/usr/share/doc/" + name + "/copyright"
		taken[copyright[1:]] = copyright
		text, err := os.ReadFile(copyright)
		if err != nil {
			return nil, nil, err
		}
		for _, common := range common.FindAllString(string(text), -1) {
			taken[common[1:]] = common
		}
		// Where scanners of images look for packages when there is no package manager.
		status, err := output("dpkg-query", "--status", name+":"+found.arch)
		if err != nil {
			return nil, nil, err
		}
		root["var/lib/dpkg/status.d/"+name] = file{0o644, status}
	}
	for name, from := range taken {
		data, err := os.ReadFile(from)
		if err != nil {
			return nil, nil, err
		}
		mode := int64(0o644)
		if name == operator || strings.HasPrefix(name, "lib") {
			mode = 0o755
		}
		root[name] = file{mode, data}
	}
	return root, list, nil
}

var common = regexp.MustCompile(`/usr/share/common-licenses/[A-Za-z0-9-]+(\.[0-9]+)*`)

// The authorities that Mozilla trusts for servers, without those that it trusts only in part: a file cannot say which part.
func certificates() ([]byte, error) {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// The C library of this machine, as far as the binary needs it, and its loader.
func libraries(binary string) ([]string, error) {
	text, err := output("ldd", binary)
	if err != nil {
		return nil, err
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		// "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)", "/lib64/ld-linux-x86-64.so.2 (0x…)", or what the kernel brings.
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "/") {
				found = append(found, word)
			}
		}
		if strings.Contains(line, "not found") {
			return nil, fmt.Errorf("the binary needs what this machine does not have: %s", strings.TrimSpace(line))
		}
	}
	return found, nil
}

func packageOf(library string) (systemPackage, error) {
	// Newer releases know a library only by the place that /lib is a link to.
	owner, err := output("dpkg-query", "--search", library)
	if err != nil {
		owner, err = output("dpkg-query", "--search", "/usr"+library)
	}
	if err != nil {
		return systemPackage{}, err
	}
	// "libc6:amd64: /lib/…". The package may be there for several processors, of which this is the right one.
	name, _, _ := strings.Cut(string(owner), ": ")
	fields, err := output("dpkg-query", "--show", "--showformat", "${Package} ${Version} ${Architecture}", name)
	if err != nil {
		return systemPackage{}, err
	}
	words := strings.Fields(string(fields))
	if len(words) != 3 {
		return systemPackage{}, fmt.Errorf("dpkg-query says %q of %s", fields, name)
	}
	return systemPackage{words[0], words[1], words[2]}, nil
}

func output(name string, args ...string) ([]byte, error) {
	command := exec.Command(name, args...)
	command.Env = append(os.Environ(), "LC_ALL=C")
	out, err := command.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("%s is missing: build the image on Debian or Ubuntu, which know what their C library is", name)
	}
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		return nil, fmt.Errorf("%s: %s", command, bytes.TrimSpace(failed.Stderr))
	}
	return out, err
}
