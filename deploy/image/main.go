// Puts the operator, and what it needs to run, into an OCI layout, with a list of what is in it. The same input makes the same
// digest, on each machine and at each time. No container engine is needed.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// The user of the chart's pods.
const user = "65532"

// What goes into an image.
type given struct {
	// The operator, built by cargo auditable.
	binary string
	// What cargo metadata prints: it knows where each crate is, and its licence.
	metadata string
	// The project's own licence.
	licence string
	// The folder of the compiler, whose library is in each binary.
	sysroot string
	// The commit.
	revision string
	// The commit's time, in seconds. Nothing in the image is newer or older.
	epoch int64
	out   string
	// The file for the texts of the licences, if nothing else is to be written.
	only string
}

func main() {
	var in given
	flag.StringVar(&in.binary, "binary", "", "the operator, built by cargo auditable")
	flag.StringVar(&in.metadata, "metadata", "", "a file with what cargo metadata prints")
	flag.StringVar(&in.licence, "licence", "", "a file with the project's own licence")
	flag.StringVar(&in.sysroot, "sysroot", "", "the folder of the Rust compiler")
	flag.StringVar(&in.revision, "revision", "", "the commit")
	flag.Int64Var(&in.epoch, "epoch", 0, "the time of everything in the image, in seconds since 1970")
	flag.StringVar(&in.out, "out", "", "the folder for the layout and the list of what is in it")
	flag.StringVar(&in.only, "notice", "", "writes only the texts of the licences of the binaries that follow, to this file")
	flag.Parse()
	run := in.build
	if in.only != "" {
		run = func() error { return in.writeNotice(flag.Args()) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func (in *given) build() error {
	crates, err := in.crates(in.binary)
	if err != nil {
		return err
	}
	arch, err := architecture(in.binary)
	if err != nil {
		return err
	}
	root, packages, err := in.root()
	if err != nil {
		return err
	}
	notice, err := in.notice(crates)
	if err != nil {
		return err
	}
	root[documents+"/NOTICE"] = file{0o644, notice}
	sbom, err := in.sbom(crates, arch, packages)
	if err != nil {
		return err
	}
	root[documents+"/sbom.cdx.json"] = file{0o644, sbom}

	image, err := in.image(root, crates, arch)
	if err != nil {
		return err
	}
	folder := filepath.Join(in.out, "layout")
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	written, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	platform := v1.Platform{OS: "linux", Architecture: arch}
	name := map[string]string{"org.opencontainers.image.ref.name": crates.root.Version}
	if err := written.AppendImage(image, layout.WithPlatform(platform), layout.WithAnnotations(name)); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(in.out, "sbom.cdx.json"), sbom, 0o644); err != nil {
		return err
	}
	return report(image)
}

// Says what came of it. The digest alone is on stdout.
func report(image v1.Image) error {
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	packed, err := layers[0].Size()
	if err != nil {
		return err
	}
	unpacked, err := layers[0].Uncompressed()
	if err != nil {
		return err
	}
	size, err := io.Copy(io.Discard, unpacked)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "image: %.1f MB to pull, %.1f MB unpacked\n", float64(packed)/1e6, float64(size)/1e6)
	fmt.Println(digest)
	return nil
}

func (in *given) image(root map[string]file, crates *crates, arch string) (v1.Image, error) {
	created := v1.Time{Time: time.Unix(in.epoch, 0).UTC()}
	archive, err := pack(root, created.Time)
	if err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil }
	layer, err := tarball.LayerFromOpener(open,
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.DefaultCompression))
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	history := v1.History{Created: created, CreatedBy: "deploy/image"}
	image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: history})
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Created, config.OS, config.Architecture = created, "linux", arch
	config.Config = v1.Config{
		User:       user + ":" + user,
		WorkingDir: "/",
		Env:        []string{"PATH=/usr/local/bin"},
		Entrypoint: []string{"/" + operator},
		Labels:     in.labels(crates),
	}
	image, err = mutate.ConfigFile(image, config)
	if err != nil {
		return nil, err
	}
	return mutate.Annotations(image, in.labels(crates)).(v1.Image), nil
}

func (in *given) labels(crates *crates) map[string]string {
	labels := map[string]string{
		"org.opencontainers.image.title":       crates.root.Name,
		"org.opencontainers.image.description": crates.root.Description,
		"org.opencontainers.image.version":     crates.root.Version,
		"org.opencontainers.image.licenses":    crates.root.License,
	}
	if in.revision != "" {
		labels["org.opencontainers.image.revision"] = in.revision
	}
	return labels
}

// The files and their folders as one archive: in the order of their names, all of root's, all of one time.
func pack(root map[string]file, at time.Time) ([]byte, error) {
	entries := map[string]file{}
	for name, file := range root {
		entries[name] = file
		for folder := path.Dir(name); folder != "."; folder = path.Dir(folder) {
			entries[folder+"/"] = file.folder()
		}
	}
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		entry := entries[name]
		header := tar.Header{Name: name, Mode: entry.mode, Size: int64(len(entry.data)), ModTime: at, Typeflag: tar.TypeReg}
		if strings.HasSuffix(name, "/") {
			header.Typeflag = tar.TypeDir
		}
		if err := archive.WriteHeader(&header); err != nil {
			return nil, err
		}
		if _, err := archive.Write(entry.data); err != nil {
			return nil, err
		}
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
