# A stand-in for Microsoft's Hyper-V module, to run agent.ps1 for real where there is no Windows.
#
# It declares Microsoft's parameters, types and parameter sets as far as it has them (a test compares every one with
# the documentation), so that PowerShell's own binder refuses what the real cmdlets refuse, and it fails with the
# real FullyQualifiedErrorIds. It knows no more parameters than are declared: it is stricter than the real one.
# VMs lie in files under $env:BERTH_HYPERV_STATE; virtual disks are small files that say what they are, until a
# move makes one that others must read too.
$ErrorActionPreference = 'Stop'

. ([System.IO.Path]::Combine($PSScriptRoot, 'standin', 'types.ps1'))
. ([System.IO.Path]::Combine($PSScriptRoot, 'standin', 'store.ps1'))
$script:Windows = (Get-StandinHost).Windows

# A line that ends in "# 2016+" is absent from the module of 2012 R2, one that ends in "# 2019+" from that of 2016 too,
# and one that ends in "# 2012 R2" from all later.
foreach ($file in 'vms', 'disks', 'vhdx', 'network', 'checkpoints', 'live', 'host') {
    $lines = [System.IO.File]::ReadAllLines([System.IO.Path]::Combine($PSScriptRoot, 'standin', "$file.ps1"))
    $others = switch ($script:Windows) { '2012r2' { '# 2016+', '# 2019+' } '2016' { '# 2012 R2', '# 2019+' } default { , '# 2012 R2' } }
    $lines = foreach ($line in $lines) {
        $absent = $false
        foreach ($other in $others) { $absent = $absent -or $line.EndsWith($other) }
        if (-not $absent) { $line }
    }
    . ([scriptblock]::Create(($lines -join "`n")))
}
Export-ModuleMember -Function '*-V*', 'New-VHD', 'Get-VHD', 'Resize-VHD', 'Convert-VHD'
Import-Module -Name ([System.IO.Path]::Combine($PSScriptRoot, 'CimCmdlets.psm1')) -Scope Global
