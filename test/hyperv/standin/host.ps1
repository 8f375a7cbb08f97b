# The host.

function Get-VMHost {
    [CmdletBinding()]
    param()
    Invoke-Cmdlet 'Get-VMHost' {
        [VMHost]@{ ComputerName = Get-StandinComputer; VirtualMachineMigrationEnabled = $script:Standin.MigrationEnabled; LogicalProcessorCount = $script:Standin.LogicalProcessors; MemoryCapacity = $script:Standin.MemoryBytes }
    }
}
function Get-StandinComputer { if ($script:Standin.Computer) { $script:Standin.Computer } else { 'STANDIN' } }
