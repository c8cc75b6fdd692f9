package archtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/firsttouch/firsttouch/internal/testproc"
)

// TestUffdAlone: a program outside of this module that imports uffd and uffd/serve gets x/sys into its go.sum, and
// nothing else.
func TestUffdAlone(t *testing.T) {
	here, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.com/user\n\ngo 1.26.0\n\nrequire "+module+" v0.0.0\n\nreplace "+module+" => "+here+"\n")
	write("main.go", `package main

import (
	"`+module+`/uffd"
	"`+module+`/uffd/serve"
)

func main() {
	layout, _ := serve.NewLayout()
	fd, err := uffd.Open()
	if err == nil {
		_ = serve.New(fd, layout)
	}
}
`)
	for _, args := range [][]string{{"mod", "tidy"}, {"vet", "."}} {
		c := exec.Command("go", args...)
		c.Dir = dir
		c.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
	}
	sum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(sum)) {
		if !strings.HasPrefix(line, "golang.org/x/sys ") {
			t.Errorf("uffd brings %s", line)
		}
	}
	if len(sum) == 0 {
		t.Error("go.sum is empty")
	}
}

// TestUffdOnOtherArchitectures builds the tests of uffd for each architecture whose numbers it has, and runs what can
// be run: all of it for 386, and without the kernel's answers where qemu-user emulates, which has no userfaultfd(2).
func TestUffdOnOtherArchitectures(t *testing.T) {
	testproc.NeedLong(t, "builds the standard library for five architectures")
	for _, arch := range []string{"386", "riscv64", "loong64", "arm", "s390x"} {
		t.Run(arch, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "uffd.test")
			c := exec.Command("go", "test", "-c", "-o", program, "./uffd")
			c.Dir, c.Env = root, append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			command := []string{program}
			if arch != "386" || runtime.GOARCH != "amd64" {
				emulator, err := exec.LookPath("qemu-" + emulated(arch) + "-static")
				if err != nil {
					t.Skipf("no emulator for %s: %v", arch, err)
				}
				command = []string{emulator, program, "-test.run", "^(Test(Msg|Names|Error|Open(Error|PathText)|Feature|Options|Range|Addr|Remedy|Sizes|Layout|ParseInfo|ReportAsJSON).*|Fuzz.*|Example(Range|Features))$"}
			}
			c = exec.Command(command[0], append(command[1:], "-test.v")...)
			c.Dir, c.Env = filepath.Join(root, "uffd"), append(os.Environ(), testproc.LongEnv+"=")
			out, err := c.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "--- PASS: TestMsgAccessors ") {
				t.Fatalf("%v: %v\n%s", command, err, out)
			}
		})
	}
}

// emulated is what qemu calls an architecture.
func emulated(arch string) string {
	if name, ok := map[string]string{"386": "i386", "loong64": "loongarch64"}[arch]; ok {
		return name
	}
	return arch
}
