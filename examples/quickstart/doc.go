// Command quickstart is the least that a service needs, as README shows it.
package main
