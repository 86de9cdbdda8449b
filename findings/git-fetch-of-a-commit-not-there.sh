#!/usr/bin/env bash
# git fetch of an object id ends with 0 for a commit that the remote has never had.
#
# Versions:   git on the PATH; seen with 2.39.5 (Debian 12).
# Documented: git-fetch(1): it fetches "from one or more other repositories"; the source of a refspec "can also be a fully
#             spelled hex object name"; what was fetched is written to FETCH_HEAD.
# Behaviour:  where the local repository has the commit, and all that it reaches, the remote is not asked for it: the
#             exit code is 0, and FETCH_HEAD names the remote as its origin. From a repository that lacks the commit
#             the same fetch of the same remote fails, and so it does with --refetch.
# So:         `git fetch REMOTE COMMIT` does not show that a push has arrived. `git ls-remote` of a ref does.
#
# Output, with COMMIT for the id and REMOTE for the path of the remote:
#   at the remote: no such object
#   where it was made: exit 0
#   FETCH_HEAD there: COMMIT 'COMMIT' of REMOTE
#   where it was made, --refetch: exit 128, fatal: remote error: upload-pack: not our ref COMMIT
#   elsewhere: exit 128, fatal: remote error: upload-pack: not our ref COMMIT
source "$(dirname "$0")/common.bash"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.org
git --version

git init --quiet --bare --initial-branch=main remote
git init --quiet --initial-branch=main made-here
git -C made-here remote add origin "$folder/remote"
git -C made-here commit --quiet --allow-empty -m first
git -C made-here push --quiet origin main
git clone --quiet remote elsewhere
git -C made-here commit --quiet --allow-empty -m 'never pushed'
commit="$(git -C made-here rev-parse HEAD)"

# fetched FOLDER [OPTION…]: how the fetch ends there, and what git says when it fails.
fetched() {
  local code=0 said
  said="$(git -C "$1" fetch "${@:2}" origin "$commit" 2>&1)" || code=$?
  echo "exit $code$([[ "$code" -eq 0 ]] || grep -m 1 'remote error' <<<"$said" | sed 's/^/, /')"
}

seen="at the remote: $(git -C remote cat-file -e "$commit" 2>/dev/null && echo there || echo no such object)
where it was made: $(fetched made-here)
FETCH_HEAD there: $(tr -s '\t' ' ' <made-here/.git/FETCH_HEAD)
where it was made, --refetch: $(fetched made-here --refetch)
elsewhere: $(fetched elsewhere)"
seen="${seen//"$commit"/COMMIT}"
expect_seen "${seen//"$folder/remote"/REMOTE}"
