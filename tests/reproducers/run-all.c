// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Runs the programs that are named, one after the other, and prints the exit status of each. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int n, status;
	pid_t child;

	for (n = 1; n < argc; n++) {
		fflush(stdout);
		child = fork();
		if (!child) {
			execl(argv[n], argv[n], NULL);
			perror(argv[n]);
			_exit(99);
		}
		if (child < 0 || waitpid(child, &status, 0) < 0) {
			perror(argv[n]);
			return 2;
		}
		printf("== %s %d\n", argv[n], WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
	}
	return 0;
}
