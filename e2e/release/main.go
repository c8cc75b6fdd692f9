// Command release checks that a commit can be tagged: that the change log and the documents know the version, and that other people's
// modules and machines get it. It makes the zip file that the module proxy would make, offers it as a proxy of its own, and uses
// that with a module cache that is empty, as a user would for the first time.
//
//	go run . v0.1.0
//
// Nothing is tagged or published. The tree has to be committed: what is not in HEAD is not in the module.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
	"golang.org/x/mod/zip"
)

const modulePath = "github.com/firsttouch/firsttouch"

func main() {
	if len(os.Args) != 2 || !semver.IsValid(os.Args[1]) || semver.Canonical(os.Args[1]) != os.Args[1] {
		fmt.Fprintln(os.Stderr, "release wants the version to be tagged, for example: .ci/release v0.1.0")
		os.Exit(2)
	}
	if err := check(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
	fmt.Println("ready to be tagged as", os.Args[1])
}

func check(version string) error {
	root, err := output(exec.Command("git", "rev-parse", "--show-toplevel"))
	if err != nil {
		return err
	}
	if changed, err := output(exec.Command("git", "-C", root, "status", "--porcelain")); err != nil || changed != "" {
		return errors.Join(err, fmt.Errorf("the tree has changes that are not committed:\n%s", changed))
	}
	if err := errors.Join(changelog(root, version), documents(root, version)); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "firsttouch-release-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	proxy := filepath.Join(tmp, "proxy")
	if err := publish(root, proxy, version); err != nil {
		return err
	}
	u := user{root, tmp, proxy}
	return errors.Join(u.install(version), u.link(version))
}

// changelog wants a section of the version, and that nothing is left to be released.
func changelog(root, version string) error {
	text, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	if !regexp.MustCompile(`(?m)^## ` + regexp.QuoteMeta(strings.TrimPrefix(version, "v")) + `( |$)`).Match(text) {
		return fmt.Errorf("CHANGELOG.md has no section ## %s", strings.TrimPrefix(version, "v"))
	}
	if regexp.MustCompile(`(?m)^## Unreleased`).Match(text) {
		return errors.New("CHANGELOG.md has a section Unreleased: give it the version")
	}
	return nil
}

// documents wants every version of ours that a document names to be this one, and the Go release that README names to be that of
// go.mod.
func documents(root, version string) error {
	list, err := output(exec.Command("git", "-C", root, "ls-files", "*.md", "*.yaml", "*.yml"))
	if err != nil {
		return err
	}
	var errs []error
	named := regexp.MustCompile(`firsttouch/firsttouch[a-z/]*@(v[0-9][^\s` + "`" + `'")]*)`)
	for _, name := range strings.Fields(list) {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		for _, m := range named.FindAllStringSubmatch(string(text), -1) {
			if m[1] != version {
				errs = append(errs, fmt.Errorf("%s names %s", name, m[0]))
			}
		}
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return err
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		return err
	}
	if m := regexp.MustCompile(`(?m)^go (1\.\d+)`).FindSubmatch(mod); m == nil || !strings.Contains(string(readme), "Go "+string(m[1])) {
		errs = append(errs, fmt.Errorf("README.md does not name the oldest Go release of go.mod, %s", m))
	}
	return errors.Join(errs...)
}

// publish makes a module proxy of files with the commit as the version, in the form of GOPROXY=file://, and wants what has to be in it.
func publish(root, proxy, version string) error {
	dir := filepath.Join(proxy, filepath.FromSlash(modulePath), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, version+".zip"))
	if err != nil {
		return err
	}
	v := module.Version{Path: modulePath, Version: version}
	err = errors.Join(zip.CreateFromVCS(f, v, root, "HEAD", ""), f.Close())
	if err != nil {
		return fmt.Errorf("the module's zip file: %w", err)
	}
	files, err := zip.CheckZip(v, f.Name())
	if err != nil {
		return fmt.Errorf("the module's zip file: %w", err)
	}
	for _, want := range []string{"LICENSE", "README.md", "CHANGELOG.md", "go.mod", "cmd/firsttouch/main.go"} {
		if !contains(files.Valid, v.String()+"/"+want) {
			return fmt.Errorf("%s is not in the module's zip file", want)
		}
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return err
	}
	st, err := os.Stat(f.Name())
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d files, %d KiB\n", v, len(files.Valid), st.Size()>>10)
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "list"), []byte(version+"\n"), 0o644),
		os.WriteFile(filepath.Join(dir, version+".info"), []byte(`{"Version":"`+version+`"}`), 0o644),
		os.WriteFile(filepath.Join(dir, version+".mod"), mod, 0o644))
}

func contains(list []string, want string) bool {
	for _, s := range list {
		if s == want {
			return true
		}
	}
	return false
}

// user is somebody who has Go, an empty module cache, and our version at a proxy.
type user struct{ root, home, proxy string }

func (u user) run(dir, name string, args ...string) (string, error) {
	c := exec.Command(name, args...)
	c.Dir = dir
	proxies, err := output(exec.Command("go", "env", "GOPROXY"))
	if err != nil {
		return "", err
	}
	c.Env = append(os.Environ(), "GOMODCACHE="+filepath.Join(u.home, "modules"), "GOPROXY=file://"+u.proxy+","+proxies, "GONOSUMDB="+modulePath,
		"GOBIN="+filepath.Join(u.home, "bin"), "GOFLAGS=-modcacherw", "GOWORK=off")
	return output(c)
}

// install gets the command, and wants it to know its version.
func (u user) install(version string) error {
	if _, err := u.run(u.home, "go", "install", modulePath+"/cmd/firsttouch@"+version); err != nil {
		return fmt.Errorf("go install: %w", err)
	}
	said, err := u.run(u.home, filepath.Join(u.home, "bin", "firsttouch"), "version")
	if err != nil || !strings.HasPrefix(said, "firsttouch "+version+",") {
		return errors.Join(err, fmt.Errorf("the installed command says %q", said))
	}
	fmt.Println(said)
	return nil
}

// link gets the library into a new module, with the code that README shows as its program.
func (u user) link(version string) error {
	dir := filepath.Join(u.home, "service")
	readme, err := os.ReadFile(filepath.Join(u.root, "README.md"))
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(readme), "```go\n")
	program, _, ok := strings.Cut(rest, "```")
	if !ok {
		return errors.New("README.md shows no Go code")
	}
	err = errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o644))
	if err != nil {
		return err
	}
	for _, args := range [][]string{{"mod", "init", "example.com/service"}, {"get", modulePath + "@" + version}, {"mod", "tidy"}, {"vet", "./..."}, {"build", "./..."}} {
		if _, err := u.run(dir, "go", args...); err != nil {
			return fmt.Errorf("go %s in a module that links it: %w", strings.Join(args, " "), err)
		}
	}
	fmt.Println("the code of README.md builds in a module of its own")
	return nil
}

// output runs a command, whose error has what it said.
func output(c *exec.Cmd) (string, error) {
	out, err := c.Output()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%v: %w: %s", c.Args, err, strings.TrimSpace(string(e.Stderr)))
	}
	return strings.TrimSpace(string(out)), err
}
