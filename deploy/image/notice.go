package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/rust-secure-code/go-rustaudit"
)

// Files with a licence, also those of C code and of others' code that lie deeper in a crate, and folders with nothing else.
var (
	licenceFile   = regexp.MustCompile(`(?i)^(un)?(licen[cs]e|copying|copyright|notice)`)
	licenceFolder = regexp.MustCompile(`(?i)(^|/)\.?licen[cs]es/`)
	code          = regexp.MustCompile(`(?i)\.(rs|c|cc|cpp|h|hpp|s|asm|go|js|ts|py|pl|sh|toml|json|ya?ml)$`)
)

// Stands for the text where a crate names this licence alone and has no file with it.
const mit = `Copyright (c) %s

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files
(the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge,
publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do
so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE
FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`

// Writes the notice of these binaries, and nothing else.
func (in *given) writeNotice(binaries []string) error {
	var all []*crates
	for _, binary := range binaries {
		crates, err := in.crates(binary)
		if err != nil {
			return err
		}
		all = append(all, crates)
	}
	notice, err := in.notice(all...)
	if err != nil {
		return err
	}
	return os.WriteFile(in.only, notice, 0o644)
}

// The texts of the licences of all crates in the binaries, each text once, with the crates that have it.
func (in *given) notice(binaries ...*crates) ([]byte, error) {
	users := map[string][]string{}
	for _, crates := range binaries {
		for _, linked := range crates.linked {
			if linked.Kind == rustaudit.Build || linked.Root {
				continue
			}
			of := crates.of(linked)
			texts, err := in.texts(of)
			if err != nil {
				return nil, err
			}
			for _, text := range texts {
				if who := of.Name + " " + of.Version; !slices.Contains(users[text], who) {
					users[text] = append(users[text], who)
				}
			}
		}
	}
	byUsers := func(a, b string) int {
		slices.Sort(users[a])
		slices.Sort(users[b])
		return strings.Compare(strings.Join(users[a], ", ")+a, strings.Join(users[b], ", ")+b)
	}
	var out bytes.Buffer
	out.WriteString("The operator has code of these projects in it, each under the licences that follow its name.\n")
	for _, text := range slices.SortedFunc(maps.Keys(users), byUsers) {
		fmt.Fprintf(&out, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(users[text], "\n"), text)
	}
	return out.Bytes(), nil
}

// Whether the file of a crate has a licence in it.
func isLicence(path string) bool {
	return (licenceFile.MatchString(filepath.Base(path)) || licenceFolder.MatchString(path)) && !code.MatchString(path)
}

func (in *given) texts(of crate) ([]string, error) {
	if of.Manifest == "" {
		return nil, fmt.Errorf("cargo metadata does not know %s %s, which is in the binary", of.Name, of.Version)
	}
	var texts []string
	folder := filepath.Dir(of.Manifest)
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !isLicence(strings.TrimPrefix(path, folder)) {
			return err
		}
		text, err := os.ReadFile(path)
		texts = append(texts, strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n")))
		return err
	})
	switch {
	case err != nil || len(texts) > 0:
		return texts, err
	case strings.Contains(of.License, "Apache-2.0"):
		// The project's own licence is the same.
		text, err := os.ReadFile(in.licence)
		return []string{strings.TrimSpace(string(text))}, err
	case of.License == "MIT":
		return []string{fmt.Sprintf(mit, cmp.Or(strings.Join(of.Authors, ", "), "the authors of "+of.Name))}, nil
	}
	return nil, fmt.Errorf("%s %s is under %s and has no file with it: write its text into deploy/image/notice.go", of.Name, of.Version, of.License)
}
