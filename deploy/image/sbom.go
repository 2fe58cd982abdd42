package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/rust-secure-code/go-rustaudit"
)

// The module that the authorities are from.
const roots = "golang.org/x/crypto/x509roots/fallback"

// What cargo metadata says of a crate.
type crate struct {
	Name, Version, License, Description string
	Authors                             []string
	Manifest                            string `json:"manifest_path"`
}

func (c crate) url() string {
	return "pkg:cargo/" + c.Name + "@" + strings.ReplaceAll(c.Version, "+", "%2B")
}

// What the binary says of itself.
type crates struct {
	root crate
	// As cargo auditable wrote them into the binary.
	linked []rustaudit.Package
	// By the address of each.
	known map[string]crate
}

// What a container platform calls the processor of a binary.
func architecture(path string) (string, error) {
	binary, err := elf.Open(path)
	if err != nil {
		return "", err
	}
	defer binary.Close()
	switch binary.Machine {
	case elf.EM_X86_64:
		return "amd64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	}
	return "", fmt.Errorf("%s is for %s, and images are for amd64 or arm64", path, binary.Machine)
}

func (in *given) crates(binary string) (*crates, error) {
	out := &crates{known: map[string]crate{}}
	opened, err := os.Open(binary)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	info, err := rustaudit.GetDependencyInfo(opened)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: build it with cargo auditable", binary, err)
	}
	out.linked = info.Packages

	text, err := os.ReadFile(in.metadata)
	if err != nil {
		return nil, err
	}
	var metadata struct{ Packages []crate }
	if err := json.Unmarshal(text, &metadata); err != nil {
		return nil, err
	}
	for _, known := range metadata.Packages {
		out.known[known.url()] = known
	}
	for _, linked := range out.linked {
		if linked.Root {
			out.root = out.of(linked)
		}
	}
	return out, nil
}

func (c *crates) of(linked rustaudit.Package) crate {
	address := crate{Name: linked.Name, Version: linked.Version}
	if known, ok := c.known[address.url()]; ok {
		return known
	}
	return address
}

// The list of what is in the image, as CycloneDX. It has no serial number: that would be another one each time.
func (in *given) sbom(crates *crates, arch string, packages []systemPackage) ([]byte, error) {
	binary, err := os.ReadFile(in.binary)
	if err != nil {
		return nil, err
	}
	beside, err := in.beside(arch, packages)
	if err != nil {
		return nil, err
	}
	components := beside
	var dependencies []cdx.Dependency
	bom := cdx.NewBOM()
	for _, linked := range crates.linked {
		of := crates.of(linked)
		component := cdx.Component{BOMRef: of.url(), Type: cdx.ComponentTypeLibrary, Name: of.Name, Version: of.Version,
			Description: strings.TrimSpace(of.Description), Scope: cdx.ScopeRequired, Licenses: licences(of.License), PackageURL: of.url()}
		if linked.Kind == rustaudit.Build {
			// It ran when the binary was built, and is not in it.
			component.Scope = cdx.ScopeExcluded
		}
		on := []string{}
		for _, index := range linked.Dependencies {
			on = append(on, crates.of(crates.linked[index]).url())
		}
		if linked.Root {
			sum := sha256.Sum256(binary)
			component.Type, component.Scope = cdx.ComponentTypeApplication, ""
			component.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}}
			bom.Metadata = &cdx.Metadata{Timestamp: time.Unix(in.epoch, 0).UTC().Format(time.RFC3339), Component: &component}
			for _, other := range beside {
				on = append(on, other.BOMRef)
			}
		} else {
			components = append(components, component)
		}
		slices.Sort(on)
		dependencies = append(dependencies, cdx.Dependency{Ref: of.url(), Dependencies: &on})
	}
	slices.SortFunc(components, func(a, b cdx.Component) int { return cmp.Compare(a.BOMRef, b.BOMRef) })
	slices.SortFunc(dependencies, func(a, b cdx.Dependency) int { return cmp.Compare(a.Ref, b.Ref) })
	bom.Components, bom.Dependencies = &components, &dependencies
	var out bytes.Buffer
	err = cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
	return out.Bytes(), err
}

// What is in the image and is no crate: Rust's own library, the C library, the authorities.
func (in *given) beside(arch string, packages []systemPackage) ([]cdx.Component, error) {
	said, err := output(filepath.Join(in.sysroot, "bin/rustc"), "--version")
	if err != nil {
		return nil, err
	}
	words := strings.Fields(string(said))
	if len(words) < 2 {
		return nil, fmt.Errorf("rustc calls itself %q", said)
	}
	list := []cdx.Component{library("pkg:generic/rust-std@"+words[1], "rust-std", words[1], "MIT OR Apache-2.0")}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return nil, errors.New("this program does not know its modules: build it with go build")
	}
	for _, module := range build.Deps {
		if module.Path == roots {
			url := "pkg:golang/" + module.Path + "@" + module.Version
			list = append(list, library(url, module.Path, module.Version, "BSD-3-Clause AND MPL-2.0"))
		}
	}
	system, err := release()
	if err != nil {
		return nil, err
	}
	for _, found := range packages {
		url := fmt.Sprintf("pkg:deb/%s/%s@%s?arch=%s&distro=%s-%s", system["ID"], found.name,
			strings.ReplaceAll(found.version, "+", "%2B"), found.arch, system["ID"], system["VERSION_ID"])
		list = append(list, library(url, found.name, found.version, ""))
	}
	return list, nil
}

func library(url, name, version, licence string) cdx.Component {
	return cdx.Component{BOMRef: url, Type: cdx.ComponentTypeLibrary, Name: name, Version: version, Scope: cdx.ScopeRequired,
		Licenses: licences(licence), PackageURL: url}
}

// The older way to write a choice was a slash.
func licences(expression string) *cdx.Licenses {
	if expression == "" {
		return nil
	}
	return &cdx.Licenses{{Expression: strings.Join(strings.FieldsFunc(expression, func(r rune) bool { return r == '/' }), " OR ")}}
}

// What the system that the C library is from calls itself.
func release() (map[string]string, error) {
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			out[key] = strings.Trim(value, `"`)
		}
	}
	return out, nil
}
