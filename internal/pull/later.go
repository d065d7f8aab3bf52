package pull

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Later is a file that something on the host may run, or obey, without being asked.
type Later struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}

// later lists those that a branch makes or changes.
func (w *Work) later(ctx context.Context, b Branch) ([]Later, error) {
	base := b.Base
	if base == "" {
		base = w.git.emptyTree
	}
	out, err := w.git.run(ctx, "diff", "--raw", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", "--diff-filter=d", base, b.Tip, "--")
	if err != nil {
		return nil, fmt.Errorf("cannot compare %s: %w", b.Name, err)
	}
	var all []Later
	fields := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	for i := 0; i+1 < len(fields); i += 2 {
		head := strings.Fields(fields[i]) // :old new from to status
		if len(head) != 5 {
			return nil, fmt.Errorf("cannot compare %s: git's answer is not understood", b.Name)
		}
		if why := runs(fields[i+1], head[1], strings.TrimPrefix(head[0], ":")); why != "" {
			all = append(all, Later{fields[i+1], why})
		}
	}
	return all, nil
}

// kinds are the files by what obeys them: a pattern without a slash is for the name wherever it
// lies, one that ends with a slash for everything below such a directory.
func kinds() []struct {
	why      string
	patterns []string
} {
	return []struct {
		why      string
		patterns []string
	}{
		{"a hook of git", []string{".githooks/", "hooks/", ".husky/", ".pre-commit-config.yaml", "lefthook.*", ".lintstagedrc*", "lint-staged.config.*", ".lefthook/"}},
		{"git obeys it", []string{".gitattributes", ".gitmodules", ".gitconfig", ".lfsconfig"}},
		{"an editor obeys it", []string{".vscode/", ".idea/", ".fleet/", ".zed/", ".vim/", ".nvim.lua", ".exrc", ".vimrc", ".dir-locals.el", ".editorconfig-run", "*.code-workspace", ".devcontainer.json", "*.sublime-project"}},
		{"an agent obeys it", []string{".claude/", ".mcp.json", ".cursor/", ".codex/", ".gemini/", ".aider*", ".continue/", "CLAUDE.md", "AGENTS.md", "GEMINI.md", ".bot-bottle/", ".github/copilot-instructions.md", ".cursorrules", ".windsurfrules", ".clinerules*", "CLAUDE.local.md", "opencode.json*", ".opencode/", ".roo/", ".kiro/", ".windsurf/"}},
		{"a shell runs it", []string{".envrc", ".env", ".tool-versions", "mise.toml", ".mise.toml", ".env.*", ".bashrc", ".zshrc", ".profile", ".gdbinit", ".lldbinit"}},
		{"CI runs it", []string{
			".github/workflows/", ".github/actions/", "action.y*ml", ".gitlab-ci.yml", ".gitlab/", ".circleci/", "Jenkinsfile*", "azure-pipelines*", ".drone.yml",
			".travis.yml", ".woodpecker/", ".woodpecker.y*ml", "bitbucket-pipelines.yml", ".buildkite/", "appveyor.yml", ".forgejo/", ".gitea/", "cloudbuild.yaml", ".ci/", ".github/dependabot.yml", "renovate.json*",
		}},
		{"a package manager runs or obeys it", []string{
			"package.json", ".npmrc", ".yarnrc*", ".yarn/", ".pnpmfile.cjs", "pnpm-workspace.yaml", "setup.py", "setup.cfg", "pyproject.toml", "conftest.py", "sitecustomize.py",
			"usercustomize.py", "*.pth", "tox.ini", "noxfile.py", "pip.conf", "Gemfile", "*.gemspec", "Rakefile", "composer.json", "build.rs", "Cargo.toml", ".cargo/",
			"rust-toolchain*", "pom.xml", ".mvn/", "mvnw*", "build.gradle*", "settings.gradle*", "gradle.properties", "gradlew*", "gradle/", "*.csproj", "*.targets", "*.props", "Directory.Build.*",
			"nuget.config", "mix.exs", "build.sbt", "*.cabal", "dune-project", "Package.swift", "deno.json*", "bunfig.toml", "go.mod", "go.work", "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock*", "requirements*.txt", "Pipfile*", "uv.toml", "uv.lock", "poetry.lock", "Cargo.lock", "Gemfile.lock", "composer.lock",
		}},
		{"a build runs it", []string{"Makefile", "makefile", "GNUmakefile", "*.mk", "CMakeLists.txt", "*.cmake", "configure", "configure.ac", "meson.build", "Justfile", "justfile", "Taskfile.y*ml", "Tiltfile", "BUILD", "BUILD.bazel", "WORKSPACE*", "MODULE.bazel", ".bazelrc", "*.bzl", "SConstruct", "wscript", "*.nix", "flake.lock", ".bazeliskrc", ".bazelversion", ".justfile", "Makefile.*", "next.config.*", "postcss.config.*"}},
		{"it makes containers or machines", []string{"Dockerfile*", "Containerfile*", "docker-compose*", "compose.y*ml", ".devcontainer/", "Vagrantfile", "*.tf", "Procfile", "*.service"}},
		{"a test runner or linter runs it", []string{"jest.config.*", "vitest.config.*", "vite.config.*", "webpack.config.*", "rollup.config.*", "babel.config.*", ".babelrc*", "eslint.config.*", ".eslintrc*", ".prettierrc*", "prettier.config.*", "karma.conf.js", "playwright.config.*", "gulpfile.*", "Gruntfile.*", ".golangci.y*ml", ".rubocop.yml", ".pylintrc", "pytest.ini", "mypy.ini"}},
	}
}

// runs says why a file is listed apart; "" where it is not.
func runs(file, mode, before string) string {
	lower := strings.ToLower(file) // on some hosts it is the same file
	for _, k := range kinds() {
		if slices.ContainsFunc(k.patterns, func(p string) bool { return matches(strings.ToLower(p), lower) }) {
			return k.why
		}
	}
	switch {
	case mode == "120000":
		return "a link, which leads wherever the host has something of that name"
	case mode == "160000":
		return "a submodule, whose address the agent chose"
	case mode == "100755" && before != "100755":
		return "made executable"
	}
	return ""
}

func matches(pattern, file string) bool {
	if dir, whole := strings.CutSuffix(pattern, "/"); whole {
		return strings.HasPrefix(file, dir+"/") || strings.Contains(file, "/"+dir+"/")
	}
	if strings.Contains(pattern, "/") {
		return file == pattern
	}
	ok, err := path.Match(pattern, path.Base(file))
	return err == nil && ok
}
