package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// apt is a set of package lists beside those of the system, so that kernels of other releases and
// architectures can be had without a change to it.
type apt struct {
	dir, config string
	updated     bool
}

// mirror is where this system has its own packages from.
func mirror(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("ask apt where packages come from: %w", err)
	}
	for uri := range strings.Lines(string(out)) {
		if uri = strings.TrimRight(uri, "/\n"); strings.HasSuffix(uri, "/debian") {
			return uri, nil
		}
	}
	return "", errors.New("apt has no mirror of Debian: .ci/vm needs Debian's kernels")
}

func newApt(ctx context.Context, dir string) (*apt, error) {
	from, err := mirror(ctx)
	if err != nil {
		return nil, err
	}
	a := &apt{dir: dir, config: filepath.Join(dir, "apt.conf")}
	for _, d := range []string{"lists/partial", "archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	var sources strings.Builder
	for _, s := range suites() {
		fmt.Fprintf(&sources, "deb [arch=amd64,arm64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n", from, s)
	}
	config := fmt.Sprintf(`Dir::State::lists "%[1]s/lists";
Dir::State::status "%[1]s/status";
Dir::Cache "%[1]s";
Dir::Etc::sourcelist "%[1]s/sources.list";
Dir::Etc::sourceparts "/dev/null";
APT::Architecture "amd64";
APT::Architectures { "amd64"; "arm64"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
`, dir)
	for name, text := range map[string]string{"sources.list": sources.String(), "apt.conf": config, "status": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// download puts the packages that a kernel's metapackage stands for into a directory.
func (a *apt) download(ctx context.Context, m machine, into string) error {
	if !a.updated {
		if _, err := a.run(ctx, a.dir, "apt-get", "update", "-q"); err != nil {
			return err
		}
		a.updated = true
	}
	target := m.pkg + ":" + m.arch
	plan, err := a.run(ctx, a.dir, "apt-get", "install", "--simulate", "--no-install-recommends", "--target-release", m.suite, target)
	if err != nil {
		return err
	}
	names := kernelPackages(plan)
	if len(names) == 0 {
		return fmt.Errorf("apt would install no kernel for %s of %s:\n%s", target, m.suite, plan)
	}
	_, err = a.run(ctx, into, "apt-get", append([]string{"download", "-q"}, names...)...)
	return err
}

// planned is a line of apt-get --simulate: the package, and the version in parentheses.
var planned = regexp.MustCompile(`(?m)^Inst (linux-(?:image|binary|modules)-[0-9]\S*) \((\S+)`)

// kernelPackages finds the packages with the kernel itself and its modules, as name=version.
func kernelPackages(plan []byte) (names []string) {
	for _, m := range planned.FindAllSubmatch(plan, -1) {
		names = append(names, string(m[1])+"="+string(m[2]))
	}
	return names
}

func (a *apt) run(ctx context.Context, dir, program string, args ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, program, args...)
	c.Dir, c.Env = dir, append(os.Environ(), "APT_CONFIG="+a.config, "LC_ALL=C")
	return output(c)
}

// output is exec.Cmd.Output with all that the command said in the error.
func output(c *exec.Cmd) ([]byte, error) {
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s%s", strings.Join(c.Args, " "), err, &stderr, out)
	}
	return out, nil
}
