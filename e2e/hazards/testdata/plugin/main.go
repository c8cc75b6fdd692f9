// Plugin is loaded into a profiled process, and touches its memory.
package main

// Sum adds up the first bytes of all pages.
func Sum(memory []byte, page int) (n int) {
	for i := 0; i < len(memory); i += page {
		n += int(memory[i])
	}
	return n
}

func main() {}
