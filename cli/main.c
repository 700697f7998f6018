/* SPDX-License-Identifier: Apache-2.0
 *
 * The program `tutti`: the command line to workflows.
 */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
